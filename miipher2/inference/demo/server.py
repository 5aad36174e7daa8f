"""The server of the demo page.

Authors
 * The miipher2 authors 2026
"""

import errno
import math
import os
import signal
import socket
import sys
import tempfile
import threading

from miipher2.errors import UserError

LOOPBACK = "127.0.0.1,localhost,::1"


def serve(arguments):
    """Run ``miipher2 demo`` until Ctrl-C or SIGTERM.

    Arguments
    ---------
    arguments : argparse.Namespace
        The parsed command line.

    Raises
    ------
    UserError
        If an option is out of range, the address cannot be used, Gradio is not
        installed or the model cannot be loaded.
    """
    check_limit(arguments.max_seconds)
    check_address(arguments.host, arguments.port)
    # Gradio reads this variable when it is imported.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        import gradio  # noqa: F401
    except ImportError:
        raise UserError(
            "miipher2 demo needs Gradio: pip install 'gradio<7'"
        ) from None
    from miipher2.inference.demo.service import Models

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    models = Models(arguments.model, arguments.trust_model)
    # Folder of uploads and results, which is deleted when the server stops
    with tempfile.TemporaryDirectory(prefix="miipher2-demo-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        _serve(models, arguments)


def _serve(models, arguments):
    """Launch the page and wait for Ctrl-C or SIGTERM."""
    from miipher2.inference.demo.page import STYLE, build_page, theme
    from miipher2.inference.demo.service import max_megabytes

    # Gradio checks over HTTP whether its server has started. The request must
    # not go through a proxy.
    for name in ("no_proxy", "NO_PROXY"):
        others = os.environ.get(name)
        os.environ[name] = f"{others},{LOOPBACK}" if others else LOOPBACK
    page = build_page(models, arguments.max_seconds)
    try:
        page.launch(
            server_name=arguments.host,
            server_port=arguments.port,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            footer_links=[],
            run_history=False,
            ssr_mode=False,
            max_file_size=max_megabytes(arguments.max_seconds) * 2**20,
            theme=theme(),
            css_paths=STYLE,
        )
        print(f"The demo is at {page.local_url} (stop it with Ctrl-C)")
        sys.stdout.flush()
        threading.Event().wait()
    finally:
        # Python can crash at exit if a thread is still computing.
        models.stop()


def check_limit(max_seconds):
    """Raise a ``UserError`` unless a limit is positive and finite.

    Example
    -------
    >>> check_limit(60.0)
    """
    if not 0 < max_seconds < math.inf:
        raise UserError(
            f"--max-seconds {max_seconds:g}: expected a finite number above 0"
        )


def check_address(host, port):
    """Raise a ``UserError`` unless a server can listen on an address.

    Arguments
    ---------
    host : str
        A name or an IP address of this machine.
    port : int
        1 to 65535.
    """
    if not 1 <= port <= 65535:
        raise UserError(f"--port {port}: expected 1 to 65535")
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
        with socket.create_server(address, family=family):
            pass
    except UnicodeError:  # an empty or too long label, as in "127..0.0.1"
        raise UserError(f"--host {host}: not a valid host name") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(
                f"--port {port}: in use by another program; choose a different "
                "port"
            ) from None
        reason = error.strerror.split(" (")[0]
        raise UserError(
            f"--host {host}: cannot listen on port {port}: {reason}"
        ) from None
