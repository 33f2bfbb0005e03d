"""Settings: where steps go, and how much of the machine they may take."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from outlay.core.errors import InputError
from outlay.sdk.spool import BYTES_MAX
from outlay.sdk.surroundings import DISABLED_VARIABLE, ENDPOINT_VARIABLE, KEY_VARIABLE, default_home


@dataclass(frozen=True, slots=True)
class Settings:
    """`endpoint` empty: the server that runs on `home`, else the spool alone. `spool` None: below the home."""

    home: Path
    endpoint: str = ""
    key: str = ""
    spool: Path | None = None
    spool_bytes_max: int = BYTES_MAX
    version: str = ""
    disabled: bool = False
    resource: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def from_environment(
        cls,
        *,
        home: Path | str | None = None,
        endpoint: str | None = None,
        key: str | None = None,
        spool: Path | str | None = None,
        spool_bytes_max: int = BYTES_MAX,
    ) -> Settings:
        """What was said, else what the environment says. Raises InputError for an endpoint that is no address."""
        from outlay import __version__

        address = os.environ.get(ENDPOINT_VARIABLE, "") if endpoint is None else endpoint
        return cls(
            home=Path(home).expanduser() if home else default_home(),
            endpoint=_checked(address.strip()),
            key=os.environ.get(KEY_VARIABLE, "") if key is None else key,
            spool=Path(spool).expanduser() if spool else None,
            spool_bytes_max=spool_bytes_max,
            version=__version__,
            disabled=os.environ.get(DISABLED_VARIABLE, "").strip().lower() in {"1", "true", "yes", "on"},
        )


def _checked(endpoint: str) -> str:
    if not endpoint:
        return ""
    from urllib.parse import urlsplit

    try:
        place = urlsplit(endpoint)
        sound = place.scheme in {"http", "https"} and bool(place.hostname) and (place.port or 1) > 0
    except ValueError:
        sound = False
    if not sound:
        raise InputError(
            f"{endpoint!r} is no address of a server",
            hint=f"write http://host:port or https://host (endpoint=, {ENDPOINT_VARIABLE})",
        )
    return endpoint.rstrip("/").removesuffix("/v1/traces")
