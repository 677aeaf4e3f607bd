"""Write web/src/messages.ts from `standfast.console.messages`, so that page and gateway cannot differ.

`python web/write_types.py` writes it; `--check` compares, and so does `tests/console/test_page_sources.py`.

Its name is not `types.py`: a script hides the modules that share its name.
"""  # noqa: INP001 - a script, not a package

import argparse
import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import inspect as shapes

from standfast.console import messages

MODULE = Path(__file__).with_name("src") / "messages.ts"

HEAD = "// Written by `python web/write_types.py` from standfast.console.messages: do not edit.\n"


def structs() -> Iterator[type[msgspec.Struct]]:
    """The public structs, in the order written."""
    for name, thing in vars(messages).items():
        if isinstance(thing, type) and issubclass(thing, msgspec.Struct) and not name.startswith("_"):
            yield thing


def spelled(kind: shapes.Type) -> str:  # noqa: PLR0911 - a case for each kind of type
    """A type in TypeScript.

    Raises:
        LookupError: there is no word for it yet.
    """
    match kind:
        case shapes.FloatType() | shapes.IntType():
            return "number"
        case shapes.StrType():
            return "string"
        case shapes.BoolType():
            return "boolean"
        case shapes.NoneType():
            return "null"
        case shapes.LiteralType(values=values):
            return " | ".join(json.dumps(value) for value in values)
        case shapes.UnionType(types=types):
            return " | ".join(spelled(one) for one in types)
        case shapes.VarTupleType(item_type=item):
            inner = spelled(item)
            return f"readonly ({inner})[]" if " | " in inner else f"readonly {inner}[]"
        case shapes.DictType(value_type=value):
            return f"Readonly<Record<string, {spelled(value)}>>"
        case shapes.StructType(cls=cls):
            return str(cls.__name__)
    raise LookupError(f"no TypeScript for {kind!r}: teach it to web/write_types.py")


def interface(struct: type[msgspec.Struct]) -> str:
    """One struct; the first line of its docstring stays with it."""
    shape = shapes.type_info(struct)
    if not isinstance(shape, shapes.StructType):
        raise TypeError(f"{struct.__name__} is told as a value of its own: teach it to web/write_types.py")
    lines = [f"/** {(inspect.getdoc(struct) or '').splitlines()[0]} */", f"export interface {struct.__name__} {{"]
    if shape.tag_field:
        lines.append(f"  readonly {shape.tag_field}: {json.dumps(shape.tag)};")
    lines += [f"  readonly {field.encode_name}: {spelled(field.type)};" for field in shape.fields]
    return "\n".join([*lines, "}", ""])


def module() -> str:
    """The whole file."""
    tagged = [struct.__name__ for struct in structs() if struct.__struct_config__.tag]
    union = f"/** What comes over the websocket; `type` tells which. */\nexport type Message = {' | '.join(tagged)};\n"
    return "\n".join([HEAD, *(interface(struct) for struct in structs()), union])


def main() -> int:
    """Write or compare; the exit code is 1 if the file is stale."""
    parser = argparse.ArgumentParser(description="Write the page's types from the gateway's messages.")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    if parser.parse_args().check:
        if not MODULE.exists() or MODULE.read_text(encoding="utf-8") != module():
            sys.stderr.write(f"{MODULE} is stale: run python web/write_types.py\n")
            return 1
        return 0
    MODULE.write_text(module(), encoding="utf-8")
    sys.stdout.write(f"wrote {MODULE}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
