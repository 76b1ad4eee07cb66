"""The manual loads nothing from outside: no script, style, font, picture or frame of another host.

One script would come from elsewhere: with it, the search works also where the manual is opened from the disk. It is a
package of tools/node/package.json, and is laid beside the other scripts.
"""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

log = logging.getLogger("mkdocs.hooks.hosts")

SHIM = Path(sys.prefix, "node", "node_modules", "iframe-worker", "shim", "index.js")

# An <a> is followed by whoever wants to; these are followed by the browser.
LOADED = re.compile(
    r"<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*?\b(?:src|data)=[\"']?(?:https?:)?//[^\"'\s>]+"
    r"|<link\b(?![^>]*rel=[\"']?canonical)[^>]*?href=[\"']?(?:https?:)?//[^\"'\s>]+"
    r"|(?:url\(|@import )[\"']?(?:https?:)?//[^\"')\s]+"
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the script that mkdocs.yml names in ``extra.polyfills``."""
    for path in config.extra["polyfills"]:
        files.append(File.generated(config, path, abs_src_path=str(SHIM)))
    return files


def on_post_build(config: MkDocsConfig) -> None:
    """Warn of each file that would make a browser ask another host, which ends a strict build."""
    site = Path(config.site_dir)
    for file in sorted(site.rglob("*")):
        if file.suffix in {".html", ".css"}:
            for match in LOADED.finditer(file.read_text(encoding="utf-8")):
                log.warning("%s loads from elsewhere: %s", file.relative_to(site), match[0])
