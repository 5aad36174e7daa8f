"""Jobs in processes of their own, so that their memory is their own.

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


def apart(script, job, limit=None):
    """Runs a job in a process of its own, so that its memory is its own.

    Arguments
    ---------
    script : str
        The benchmark; ``--job`` makes it run one job.
    job : dict
        The job's name and arguments.
    limit : float
        Seconds after which it is ended.

    Returns
    -------
    dict
        All figures that the job gave; ``failed`` says why there are no more.
    """
    command = [sys.executable, script, "--job", json.dumps(job)]
    # ended from outside, it takes its job and its folders along
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryFile("w+") as told:
        process = subprocess.Popen(command, stdout=told)
        try:
            code = process.wait(limit)
            failed = code and f"exit code {code}"
        except subprocess.TimeoutExpired:
            failed = f"not done after {limit:.0f} s"
        finally:
            process.kill()
            process.wait()
        told.seek(0)
        figures = {}
        for line in told:
            with contextlib.suppress(ValueError):
                figures.update(json.loads(line))
    if failed:
        figures.setdefault("failed", failed)
    return figures


def run_job(jobs, text):
    """Runs a job in this process and prints its figures as they come.

    Arguments
    ---------
    jobs : dict
        Name -> function of the job that yields dicts.
    text : str
        The job as JSON.
    """
    job = json.loads(text)
    for figures in jobs[job["job"]](job):
        print(json.dumps(figures), flush=True)


def common_options(parser):
    """Adds the options that both benchmarks have."""
    parser.add_argument("--job", help=argparse.SUPPRESS)
    parser.add_argument(
        "--data", metavar="FOLDER", help="speech; default: generated signals"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument(
        "--repeats", type=int, default=3, help="the median of so many counts"
    )
    parser.add_argument(
        "--limit",
        type=float,
        default=3600.0,
        metavar="S",
        help="seconds after which a measurement is given up",
    )
