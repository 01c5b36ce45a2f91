"""Line charts in one SVG file: panels below each other, over the same axis."""

import dataclasses
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 900, 220  # of a panel
LEFT, RIGHT, TOP, BOTTOM = 60, 230, 30, 30
COLOURS = ("#1b6ca8", "#d1495b", "#3c8d5a", "#8a5a9e", "#c98a1b", "#555555", "#1aa5a5", "#a05a2c")


@dataclasses.dataclass(frozen=True)
class Panel:
    title: str
    lines: dict  # name: values, one for each place of the axis


def draw(axis, across, panels):
    """across: where the values stand on the axis, ascending from above 0."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT * len(panels)}"'
        ' font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for number, panel in enumerate(panels):
        parts.append(f'<g transform="translate(0 {number * HEIGHT})">')
        parts += _panel(panel, axis, across)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(panel, axis, across):
    top = _round_up(max((value for values in panel.lines.values() for value in values), default=0))
    right = _round_up(across[-1])

    def x(value):
        return LEFT + value / right * (WIDTH - LEFT - RIGHT)

    def y(value):
        return HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)

    yield f'<text x="{LEFT}" y="{TOP - 12}" font-weight="bold">{escape(panel.title)}</text>'
    for part in range(5):
        value = top * part / 4
        yield f'<path d="M{x(0):.0f} {y(value):.1f}H{x(right):.0f}" stroke="#ddd"/>'
        yield f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>'
        place = right * part / 4
        yield f'<text x="{x(place):.1f}" y="{HEIGHT - 12}" text-anchor="middle">{place:g}</text>'
    yield f'<text x="{WIDTH - RIGHT + 24}" y="{HEIGHT - 12}">{escape(axis)}</text>'
    for number, (name, values) in enumerate(panel.lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = " ".join(f"{x(place):.1f},{y(value):.1f}" for place, value in zip(across, values))
        yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        line_y = TOP + 4 + 17 * number
        yield f'<path d="M{WIDTH - RIGHT + 12} {line_y}h16" stroke="{colour}" stroke-width="3"/>'
        yield f'<text x="{WIDTH - RIGHT + 34}" y="{line_y + 4}">{escape(name)}</text>'


def _round_up(value):
    """The next of some multiples of a power of ten of which a quarter is short."""
    step = 1e-6
    while step * 10 < value:
        step *= 10
    return next(step * factor for factor in (1, 1.2, 1.6, 2, 2.4, 3, 4, 6, 8, 10) if step * factor >= value * (1 - 1e-9))
