"""One file from the network: one attempt, a short time-out, a checksum."""

import hashlib
import http.client
import os
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from cnnjax.errors import UserError


def fetch(url: str, destination: Path, md5: str, timeout: float = 10.0) -> Path:
    """Downloads ``url`` to ``destination``, which appears only when complete and with the right checksum.

    Args:
      md5: hexadecimal, as published with the file; a guard against accidents, not against forgery.
      timeout: seconds without an answer after which the attempt ends. There is no second one.

    Raises:
      UserError: the host cannot be reached, or what came is not the file.
      OSError: the file cannot be written.
    """
    part = destination.with_name(f"{destination.name}.{os.getpid()}.part")
    destination.parent.mkdir(parents=True, exist_ok=True)
    try:
        try:
            with urllib.request.urlopen(url, timeout=timeout) as answer, part.open("wb") as file:
                shutil.copyfileobj(answer, file)
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            reason = getattr(error, "reason", error)
            raise UserError(f"cannot download {url} ({reason})") from error
        with part.open("rb") as file:
            found = hashlib.file_digest(file, "md5").hexdigest()
        if found != md5:
            raise UserError(f"{url} did not give the expected file: its md5 is {found}, expected {md5}")
        part.replace(destination)
    finally:
        part.unlink(missing_ok=True)
    return destination


def reachable(url: str, timeout: float = 5.0) -> bool:
    """Whether the host of ``url`` answers at all (an HTTP error is an answer), directly or through the proxy in use."""
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=timeout).close()
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except (OSError, ValueError):
        return False
    return True
