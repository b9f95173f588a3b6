# SPDX-License-Identifier: Apache-2.0
"""Puts the page together from its parts: one HTML text without references to anything, as a C
array, with the content security policy that lets exactly its own script and style run.

usage: page_embed.py OUTPUT.c PART… (page.html, then .css and .js in the order in which they go in)

Scripts named flame*.js and the others each become a function of their own, so that they leave
nothing behind but what they give to globalThis."""
import base64
import hashlib
import re
import sys
from pathlib import Path


def source_of(scripts):
    return '(() => {\n"use strict";\n' + "\n".join(scripts) + "})();\n"


def hash_of(text):
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def c_string(text):
    """Lines of octal escapes where needed; three digits, so that nothing joins what follows."""
    lines = []
    for line in text.splitlines(keepends=True):
        escaped = "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\?' else f"\\{byte:03o}"
                          for byte in line.encode())
        lines.append(f'\t"{escaped}"')
    return "\n".join(lines)


output, html, *parts = map(Path, sys.argv[1:])
texts = {part.name: part.read_text(encoding="utf-8") for part in parts}
style = "\n".join(text for name, text in texts.items() if name.endswith(".css"))
flame = [text for name, text in texts.items() if re.fullmatch(r"flame\w*\.js", name)]
rest = [text for name, text in texts.items()
        if name.endswith(".js") and not name.startswith("flame")]
script = "\n" + source_of(flame) + source_of(rest)
for text in script, style:
    # Either would end its element.
    if re.search(r"</(script|style)|<!--", text, re.I):
        sys.exit("page_embed: a part holds a tag that ends its element")

page = html.read_text(encoding="utf-8")
for place, text in ("@STYLE@", style), ("@SCRIPT@", script):
    if page.count(place) != 1:
        sys.exit(f"page_embed: {place} is not once in {html.name}")
    page = page.replace(place, text)
policy = "; ".join([
    "default-src 'none'",
    f"script-src 'sha256-{hash_of(script)}'",
    f"style-src 'sha256-{hash_of(style)}'",
    "connect-src 'self'",
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
])
output.write_text(f"""/* SPDX-License-Identifier: Apache-2.0 */
/* Made by {Path(sys.argv[0]).name}. */
#include "serve/serve_page.h"

const char serve_page[] =
{c_string(page)};
const size_t serve_page_size = sizeof(serve_page) - 1;
const char serve_page_policy[] =
{c_string(policy)};
""", encoding="utf-8")
