"""An OpenAPI document as a page for people: HTML without scripts, which loads its own style sheet only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

Schema = Mapping[str, Any]


def page(document: Mapping[str, Any], style: str) -> str:
    """The page; `style` is the address of its style sheet."""
    info = document["info"]
    operations = [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = document["components"]["schemas"]
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<title>{escape(info["title"])}</title><link rel="icon" href="data:,">',
            f'<link rel="stylesheet" href="{escape(style)}"></head><body>',
            f"<header><h1>{escape(info['title'])} <small>{escape(info['version'])}</small></h1>",
            f"<p>{_prose(info['description'])}</p>",
            '<p>The same for programs: <a href="openapi.json">openapi.json</a>.</p></header>',
            "<nav aria-label='Routes'><ul>",
            *(
                f'<li><a href="#{operation["operationId"]}"><code>{method} {escape(path)}</code></a></li>'
                for method, path, operation in operations
            ),
            "</ul></nav><main>",
            *(_operation(method, path, operation) for method, path, operation in operations),
            "<h2>Types</h2>",
            *(_type(name, schema) for name, schema in sorted(schemas.items())),
            "</main></body></html>",
        ]
    )


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    parts = [
        f'<section id="{operation["operationId"]}"><h2><code>{method} {escape(path)}</code></h2>',
        f"<p>{_prose(operation['summary'])}. For: {escape(', '.join(operation['tags']))}.</p>",
    ]
    if text := operation.get("description"):
        parts.append(f"<p>{_prose(text)}</p>")
    if parameters := operation.get("parameters"):
        rows = [(f"<code>{escape(p['name'])}</code>", _prose(p["description"])) for p in parameters]
        parts.append(_table(("query", "meaning"), rows))
    if body := operation.get("requestBody"):
        parts.append(f"<p>Body: {_kind(body['content']['application/json']['schema'])}</p>")
    answers = []
    for status, response in operation["responses"].items():
        kinds = [
            _kind(content["schema"]) if media == "application/json" else escape(media)
            for media, content in response.get("content", {}).items()
        ]
        answers.append((escape(status), _prose(response["description"]), ", ".join(kinds)))
    return "".join([*parts, _table(("status", "meaning", "body"), answers), "</section>"])


def _type(name: str, schema: Schema) -> str:
    parts = [f'<section id="{escape(name)}"><h3>{escape(name)}</h3>']
    if text := schema.get("description"):
        parts.append(f"<p>{_prose(text)}</p>")
    if "properties" not in schema:
        return "".join([*parts, f"<p>{_kind(schema)}</p></section>"])
    required = schema.get("required", [])
    rows = [
        (f"<code>{escape(field)}</code>", _kind(of), "required" if field in required else "optional")
        for field, of in schema["properties"].items()
    ]
    return "".join([*parts, _table(("field", "type", ""), rows), "</section>"])


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' if cell else "<td></td>" for cell in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll" tabindex="0">{table}</div>'


def _kind(schema: Schema) -> str:
    """A type in a few words, with links to those that have a name."""
    if ref := schema.get("$ref"):
        name = escape(ref.rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if several := schema.get("anyOf"):
        return " or ".join(map(_kind, several))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}{escape(_bounds(schema, 'Items'))}"
    if values := schema.get("enum"):
        return " or ".join(f"<code>{escape(str(value))}</code>" for value in values)
    text = schema.get("description", "")
    words = [escape(str(schema.get("type", "anything")))]
    words += [f"<code>{escape(schema['pattern'])}</code>"] if "pattern" in schema else []
    words += [f"({_prose(text.rstrip('.'))})"] if text else []
    return " ".join(words) + escape(_bounds(schema, "imum"))


def _bounds(schema: Schema, what: str) -> str:
    least, most = schema.get(f"min{what}"), schema.get(f"max{what}")
    if least is None and most is None:
        return ""
    return f", {'' if least is None else least}..{'' if most is None else most}"


def _prose(text: str) -> str:
    """Text in which `code` stands between backticks."""
    return "".join(_marked(text))


def _marked(text: str) -> Iterator[str]:
    for place, part in enumerate(escape(text).split("`")):
        yield f"<code>{part}</code>" if place % 2 else part
