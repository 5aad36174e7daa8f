"""Benchmark jobs that run in separate processes.

Separate processes allow the peak memory of each job to be measured.

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
        Time limit in seconds, after which the process is killed. None for no
        limit.

    Returns
    -------
    dict
        All measurements that the job printed. If the job failed, the key
        ``failed`` contains the reason.
    """
    command = [sys.executable, script, "--job", json.dumps(job)]
    # SIGTERM raises KeyboardInterrupt, so that ``finally`` kills the job
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
        measurements = {}
        for line in output:
            with contextlib.suppress(ValueError):
                measurements.update(json.loads(line))
    if failed:
        measurements.setdefault("failed", failed)
    return measurements


def runner(script, optional=(), **common):
    """Return a function that runs the jobs of a benchmark.

    Arguments
    ---------
    script : str
        Path of the benchmark.
    optional : tuple of str
        Jobs that may fail. If any other job fails, the program exits.
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
        measurements = run_in_process(script, job, limit)
        if "failed" in measurements and name not in optional:
            raise SystemExit(f"{name}: {measurements['failed']}")
        return measurements

    return run


def run_job(jobs, job_json):
    """Run a job in this process and print its measurements.

    Arguments
    ---------
    jobs : dict
        Generator functions by job name. Each takes a job and yields
        dictionaries of measurements.
    job_json : str
        The job as JSON.
    """
    job = json.loads(job_json)
    for measurements in jobs[job["job"]](job):
        print(json.dumps(measurements), flush=True)


def add_options(parser):
    """Add the options that ``restore.py`` and ``train.py`` share."""
    parser.add_argument("--job", help=argparse.SUPPRESS)
    parser.add_argument(
        "--data",
        metavar="FOLDER",
        help="folder of speech recordings; default: synthetic signals",
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument(
        "--repeats",
        type=int,
        default=3,
        help="number of runs or training steps; the median is reported",
    )
    parser.add_argument(
        "--limit",
        type=float,
        default=3600.0,
        metavar="S",
        help="time limit of a measurement in seconds",
    )
