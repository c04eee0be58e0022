"""What the package's metadata takes from where it is built: the repository's address.

No address is written down in the sources. A clone has it in git (``remote.origin.url``), and
``COORD_REPOSITORY`` says it where there is none. With it, ``[project.urls]`` is filled, and the relative
links of the README, which work where the repository is shown, are made absolute, since an index shows the
README alone. Without it, the metadata has no URLs, and such links are left as their text.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"\[([^\]]+)\]\((?!https?://|#|mailto:)([^)\s]+)\)")
SCP = re.compile(r"[^@/]+@([^:/]+):(.+)")


class CustomMetadataHook(MetadataHookInterface):
    """Fills in ``urls`` and ``readme``; hatchling finds it by its name."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add to the metadata that ``pyproject.toml`` declares dynamic."""
        repository = public_address(os.environ.get("COORD_REPOSITORY") or origin(self.root))
        text = (Path(self.root) / "README.md").read_text("utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": with_links(text, repository)}
        metadata["urls"] = {} if repository is None else urls(repository)


def origin(folder: str) -> str:
    """Return where the clone came from; nothing if this is no clone."""
    command = ["git", "-C", folder, "config", "--get", "remote.origin.url"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
    except OSError:  # no git
        return ""


def public_address(remote: str) -> str | None:
    """Spell a remote as the page that shows it, without credentials; a path of this machine has none."""
    if scp := SCP.fullmatch(remote):
        remote = f"ssh://{scp[1]}/{scp[2]}"
    parts = urlsplit(remote)
    if parts.scheme not in ("https", "ssh") or not parts.hostname:
        return None
    host = parts.hostname if parts.scheme == "ssh" else parts.netloc.rpartition("@")[2]
    return f"https://{host}{parts.path}".removesuffix("/").removesuffix(".git")


def urls(repository: str) -> dict[str, str]:
    """List the addresses under the names that indexes know (https://peps.python.org/pep-0753/)."""
    return {
        "Homepage": repository,
        "Source": repository,
        "Documentation": f"{repository}/blob/HEAD/docs/index.md",
        "Changelog": f"{repository}/blob/HEAD/CHANGELOG.md",
        "Issues": f"{repository}/issues",
        "Security": f"{repository}/blob/HEAD/.github/SECURITY.md",
    }


def with_links(text: str, repository: str | None) -> str:
    """Make relative links absolute, or leave their text where there is no address."""

    def absolute(link: re.Match[str]) -> str:
        return link[1] if repository is None else f"[{link[1]}]({repository}/blob/HEAD/{link[2]})"

    return LINK.sub(absolute, text)
