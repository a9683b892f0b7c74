"""QR codes as the path of an SVG."""

import segno


def qr_path(text: str) -> tuple[int, str]:
    """The size of a QR code in modules, its quiet zone included, and the path of the dark ones."""
    code = segno.make_qr(text, error="m")
    border = 4
    parts = []
    for y, row in enumerate(code.matrix):
        for x, dark in enumerate(row):
            if dark:
                parts.append(f"M{x + border} {y + border}h1v1h-1z")
    return len(code.matrix) + 2 * border, "".join(parts)
