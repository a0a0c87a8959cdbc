"""Figures of matplotlib as inline SVG without style attributes and with the page's own colours.

A Content-Security-Policy that forbids inline styles forbids style attributes too, so they become presentation
attributes. Black becomes `currentColor` and the background is transparent, so that one drawing fits light
pages, dark pages and print.
"""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree

from matplotlib.figure import Figure as Drawing

from db.ids import content_hash
from farm.pages.report.drawing import style

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
KEPT = {"fill", "stroke", "opacity", "text-anchor", "fill-opacity", "fill-rule"}  # and all stroke-...
PIXELS = 1.5  # pixels of a point; the text of a figure is then as large as the text around it
INKS = {"#000000": "currentColor", "black": "currentColor"}
_FONT = re.compile(r"(?:(?:italic|bold|normal|\d{3})\s+)*(?P<size>[\d.]+)px")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


def inline_svg(drawing: Drawing, name: str, description: str, shown: str = "") -> str:
    """The drawing as an <svg> element. description: a label for screen readers. name: makes its ids
    unique. shown: its class."""
    buffer = io.StringIO()
    with style():
        drawing.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(buffer.getvalue())
    for element in list(root):
        if element.tag == f"{{{SVG}}}metadata":
            root.remove(element)
    prefix = content_hash("figure", name)[:8]
    for element in root.iter():
        for child in list(element):
            if child.tag == f"{{{SVG}}}style":
                element.remove(child)
        _restyle(element)
        _rename(element, prefix)
    points = float(root.attrib.pop("width").removesuffix("pt"))
    root.attrib.pop("height")
    root.attrib |= {"role": "img", "aria-label": description, "width": f"{points * PIXELS:.0f}"}
    root.attrib |= {"class": shown} if shown else {}
    root.attrib |= {"stroke-linejoin": "round", "fill": "currentColor"}
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    return ElementTree.tostring(root, encoding="unicode")


def _restyle(element: ElementTree.Element) -> None:
    """Turn the style attribute of an element into presentation attributes."""
    for declaration in element.attrib.pop("style", "").split(";"):
        key, _, value = (part.strip() for part in declaration.partition(":"))
        if key == "font":
            if size := _FONT.match(value):
                element.set("font-size", size["size"])
        elif key == "font-size":
            element.set(key, value.removesuffix("px"))
        elif key in KEPT or key.startswith("stroke"):
            element.set(key, value)
    for key in ("fill", "stroke"):
        if element.get(key) in INKS:
            element.set(key, INKS[element.attrib[key]])


def _rename(element: ElementTree.Element, prefix: str) -> None:
    """Give ids a prefix, because matplotlib uses the same ids in every figure."""
    for key, value in list(element.attrib.items()):
        if key == "id":
            element.set(key, f"{prefix}-{value}")
        elif key.endswith("href") and value.startswith("#"):
            element.set(key, f"#{prefix}-{value[1:]}")
        elif "url(#" in value:
            element.set(key, _REFERENCE.sub(rf"url(#{prefix}-\1)", value))
