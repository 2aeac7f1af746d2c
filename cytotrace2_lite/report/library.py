"""BokehJS, the library that draws the views: where its files are, and what they hold.

Only the JavaScript of the package bokeh is used; the package itself is never imported.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from cytotrace2_lite.errors import CytoTRACE2Error

__all__ = ["bokeh_scripts", "require_bokeh"]

_FILES = ("bokeh.min.js", "bokeh-api.min.js")
# Either would end the element that the script is in, or change where it ends.
_ENDS = ("</script", "<script", "<!--")


def require_bokeh() -> Path:
    """Find the folder of BokehJS.

    Returns
    -------
    Path
        A folder with the files of `bokeh_scripts`.

    Raises
    ------
    CytoTRACE2Error
        bokeh is not installed, or lacks these files.
    """
    spec = find_spec("bokeh")
    for place in [] if spec is None else spec.submodule_search_locations or []:
        folder = Path(place, "server", "static", "js")
        if all((folder / name).is_file() for name in _FILES):
            return folder
    missing = "is not installed" if spec is None else "lacks the files of BokehJS"
    raise CytoTRACE2Error(
        f"No report: it needs the package bokeh, which {missing}. Install with: "
        "pip install 'cytotrace2-lite[report]'"
    )


def bokeh_scripts() -> list[str]:
    """Read BokehJS.

    Returns
    -------
    list of str
        Scripts, in the order in which a page has to run them; fit to stand inside its elements.

    Raises
    ------
    CytoTRACE2Error
        bokeh is not installed, or its files are not fit to stand in a page.
    """
    folder = require_bokeh()
    scripts = [(folder / name).read_text(encoding="utf-8") for name in _FILES]
    for name, script in zip(_FILES, scripts, strict=True):
        if any(end in script.lower() for end in _ENDS):
            raise CytoTRACE2Error(
                f"No report: {name} of the installed bokeh cannot be part of a page. Install "
                "another version of bokeh."
            )
    return scripts
