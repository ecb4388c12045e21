"""A page with every screenshot of a folder, each beside the same view at other widths: `python sheet.py FOLDER`.

Needs nothing but Python, so that CI can call it whatever has failed before.
"""

import re
import sys
from html import escape
from pathlib import Path

SHOT = re.compile(r"(?P<view>.+?)(?:-(?P<how>(?:1440|390)(?:-(?:light|dark))?))?\.png")
PAGE = """<!doctype html>
<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Screenshots</title>
<style>
body {{ font: 16px/1.5 system-ui; margin: 1rem }}
section {{ display: flex; flex-wrap: wrap; gap: 1rem; align-items: start }}
figure {{ margin: 0 }} img {{ max-width: 480px; max-height: 640px; border: 1px solid gray }}
</style>
<h1>{count} screenshots</h1>
{views}
"""


def write_sheet(folder: Path) -> Path:
    """`index.html` in `folder`, which may be empty or missing. Views by name; a view's large picture comes first."""
    folder.mkdir(parents=True, exist_ok=True)
    views: dict[str, list[tuple[bool, str, str]]] = {}
    for path in sorted(folder.glob("*.png")):
        shot = SHOT.fullmatch(path.name)
        assert shot is not None, path.name
        how = shot["how"] or ""
        views.setdefault(shot["view"], []).append(("390" in how, how or "as it was", path.name))
    figures = {
        view: "\n".join(
            f'<figure><a href="{escape(name)}"><img loading="lazy" src="{escape(name)}" alt="{escape(view)}, {how}">'
            f"</a><figcaption>{how}</figcaption></figure>"
            for _, how, name in sorted(shots)
        )
        for view, shots in views.items()
    }
    sections = [f"<h2>{escape(view)}</h2>\n<section>\n{shown}\n</section>" for view, shown in figures.items()]
    page = folder / "index.html"
    page.write_text(PAGE.format(count=sum(map(len, views.values())), views="\n".join(sections)), "utf-8")
    return page


if __name__ == "__main__":
    print(write_sheet(Path(sys.argv[1])))
