"""Structs whose fields are set anew while a request is under way.

A struct is made in C, which is why the hot path is built of them. But msgspec gives each one a `__setattr__` of its
own, which begins to show an object to the garbage collector when it first holds something that the collector must see;
and stores to a class with such a method are not specialised by the interpreter: 20 ns each instead of 5 (CPython 3.11,
msgspec 0.22).
"""

from typing import TypeVar

_Class = TypeVar("_Class", bound=type)


def plain_stores(cls: _Class) -> _Class:
    """Class decorator: fields of these structs are set as those of any other object. Subclasses need it, too.

    For structs that are made with something that the collector sees, so that it sees them from the beginning.
    """
    cls.__setattr__ = object.__setattr__  # type: ignore[method-assign, assignment]  # not this one's alone
    cls.__delattr__ = object.__delattr__  # type: ignore[method-assign, assignment]
    return cls
