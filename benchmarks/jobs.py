"""Run the parts of a benchmark as jobs, each in its own process.

Peak memory is therefore measured for each job.

Authors
 * The miipher2 authors 2026
"""

import argparse
import contextlib
import json
import signal
import subprocess
import sys
import tempfile


def run_in_process(script, job, limit=None):
    """Run a job in a new process.

    Arguments
    ---------
    script : str
        Path of the benchmark, which runs one job with ``--job``.
    job : dict
        Name (``job``) and arguments of the job.
    limit : float
        Seconds after which the process is killed.

    Returns
    -------
    dict
        All measurements that the job printed. ``failed`` is the reason if the
        job did not finish.
    """
    command = [sys.executable, script, "--job", json.dumps(job)]
    # SIGTERM becomes KeyboardInterrupt, so that ``finally`` kills the job
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output)
        try:
            code = process.wait(limit)
            failed = code and f"exit code {code}"
        except subprocess.TimeoutExpired:
            failed = f"timed out after {limit:.0f} s"
        finally:
            process.kill()
            process.wait()
        output.seek(0)
        figures = {}
        for line in output:
            with contextlib.suppress(ValueError):
                figures.update(json.loads(line))
    if failed:
        figures.setdefault("failed", failed)
    return figures


def runner(script, optional=(), **common):
    """Return a function that runs jobs of a benchmark.

    Arguments
    ---------
    script : str
        Path of the benchmark.
    optional : tuple of str
        Jobs that may fail. The program ends if another job fails.
    **common : dict
        Arguments of every job.

    Returns
    -------
    callable
        ``run(name, limit=None, **arguments)``, which returns the measurements
        of a job.
    """

    def run(name, limit=None, **arguments):
        job = {"job": name, **common, **arguments}
        figures = run_in_process(script, job, limit)
        if "failed" in figures and name not in optional:
            raise SystemExit(f"{name}: {figures['failed']}")
        return figures

    return run


def run_job(jobs, text):
    """Run a job in this process and print its measurements.

    Arguments
    ---------
    jobs : dict
        Generator functions by name, which take the job and yield dicts.
    text : str
        The job as JSON.
    """
    job = json.loads(text)
    for figures in jobs[job["job"]](job):
        print(json.dumps(figures), flush=True)


def add_options(parser):
    """Add the options of both speed benchmarks."""
    parser.add_argument("--job", help=argparse.SUPPRESS)
    parser.add_argument(
        "--data",
        metavar="FOLDER",
        help="speech recordings; default: synthetic signals",
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument(
        "--repeats",
        type=int,
        default=3,
        help="number of runs, of which the median is shown",
    )
    parser.add_argument(
        "--limit",
        type=float,
        default=3600.0,
        metavar="S",
        help="stop a measurement after this many seconds",
    )
