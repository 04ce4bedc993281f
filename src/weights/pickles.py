"""Reads a pickle as data: nothing that it names is imported or called.

Unpickling runs what the file asks for. Here the file's instructions (Python's `pickletools` documents them) are carried out
on plain values, and a class or function is a name, for which the caller gives a builder or which is refused.
"""

import mmap
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, Union, cast

_LITERALS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
}  # fmt: skip
_MOST_INSTRUCTIONS = 5_000_000  # a network of a thousand tensors takes some ten thousand
_MOST_COPIED = 5_000_000  # items of lists and dictionaries that are arguments, some of which are copied
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_PYTHON_2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}


class RefusedError(ValueError):
    """The pickle asks for something that is not data; `name` is that class or function, for example os.system."""

    def __init__(self, name: str):
        super().__init__(name)
        self.name = name if name.isprintable() and len(name) < 200 else ascii(name)[:200]


@dataclass(frozen=True)
class Global:
    """The name of a class or function, for example torch.FloatStorage."""

    name: str


@dataclass(frozen=True)
class StandIn:
    """In place of an object that no weight depends on, for example the options of a training run; its content is dropped."""

    kind: str


def read_pickle(file: Union[BinaryIO, mmap.mmap], builders: dict[str, Any], find_persistent: Callable[[Any], Any]) -> Any:
    """Reads one pickle and leaves the file behind its end.

    Args:
        builders: name of a class or function -> what makes a value of its arguments, or None where only the name is used.
        find_persistent: what a persistent id stands for.

    Raises:
        RefusedError: a class or function that is not in `builders`.
        ValueError: truncated or damaged.
    """
    machine = _Machine(builders, find_persistent)
    try:
        for number, (instruction, argument, _) in enumerate(pickletools.genops(cast(BinaryIO, file))):
            if number == _MOST_INSTRUCTIONS:
                raise ValueError(f"more than {_MOST_INSTRUCTIONS} instructions")
            if instruction.name == "STOP":
                return machine.stack.pop()
            machine.carry_out(instruction.name, argument)
    except RefusedError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, MemoryError) as error:
        raise ValueError(f"damaged: {error or type(error).__name__}") from None
    raise ValueError("truncated")


def no_reference(_: Any) -> None:
    """The `find_persistent` of a pickle that refers to nothing outside it."""
    raise ValueError("a reference where none can be")


class _Machine:
    """The stack and the memo that a pickle's instructions work on; one method for each kind of instruction."""

    def __init__(self, builders: dict[str, Any], find_persistent: Callable[[Any], Any]):
        self.stack: list[Any] = []
        self._below_marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._copied = 0
        self._builders = builders
        self._find_persistent = find_persistent

    def carry_out(self, name: str, argument: Any) -> None:
        if name in _LITERALS:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name not in ("PROTO", "FRAME"):
            method = getattr(self, f"_{name.lower()}", None)
            if method is None:
                raise RefusedError(f"the instruction {name}")
            method(argument)

    # the memo

    def _put(self, index: int) -> None:
        self._memo[index] = self.stack[-1]

    _binput = _long_binput = _put

    def _memoize(self, _) -> None:
        self._memo[len(self._memo)] = self.stack[-1]

    def _get(self, index: int) -> None:
        self.stack.append(self._memo[index])

    _binget = _long_binget = _get

    # the stack

    def _mark(self, _) -> None:
        self._below_marks.append(self.stack)
        self.stack = []

    def _pop_mark(self, _=None) -> list[Any]:
        items, self.stack = self.stack, self._below_marks.pop()
        return items

    def _pop(self, _) -> None:
        self.stack.pop()

    def _dup(self, _) -> None:
        self.stack.append(self.stack[-1])

    # containers; sets become lists, so that nothing is hashed but what keys a dictionary

    def _empty_list(self, _) -> None:
        self.stack.append([])

    _empty_set = _empty_list

    def _empty_dict(self, _) -> None:
        self.stack.append({})

    def _empty_tuple(self, _) -> None:
        self.stack.append(())

    def _list(self, _) -> None:
        items = self._pop_mark()
        self.stack.append(items)

    _frozenset = _list

    def _tuple(self, _) -> None:
        items = self._pop_mark()
        self.stack.append(tuple(items))

    def _dict(self, _) -> None:
        items = self._pop_mark()
        self.stack.append({})
        self._add_pairs(items)

    def _tuple1(self, _) -> None:
        self.stack[-1:] = [(self.stack[-1],)]

    def _tuple2(self, _) -> None:
        self.stack[-2:] = [(self.stack[-2], self.stack[-1])]

    def _tuple3(self, _) -> None:
        self.stack[-3:] = [(self.stack[-3], self.stack[-2], self.stack[-1])]

    def _append(self, _) -> None:
        self._add_items([self.stack.pop()])

    def _appends(self, _) -> None:
        self._add_items(self._pop_mark())

    _additems = _appends

    def _setitem(self, _) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._add_pairs([key, value])

    def _setitems(self, _) -> None:
        self._add_pairs(self._pop_mark())

    def _add_items(self, items: list[Any]) -> None:
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(items)
        elif not isinstance(self.stack[-1], StandIn):
            raise ValueError("items for something that is no list")

    def _add_pairs(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, StandIn):
            return
        if not isinstance(target, dict) or len(items) % 2:
            raise ValueError("pairs for something that is no dictionary")
        for key, value in zip(items[::2], items[1::2]):
            if not isinstance(key, (str, bytes, int, float, type(None))):
                raise ValueError("a dictionary's key that is neither text nor number")
            target[key] = value

    # classes, functions and objects

    def _global(self, argument: str) -> None:
        self._name(*argument.split(" ", 1))

    def _stack_global(self, _) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self._name(module, name)

    def _name(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("a class or function without a name")
        full_name = f"{_PYTHON_2.get(module, module)}.{name}"
        if full_name not in self._builders:
            raise RefusedError(full_name)
        self.stack.append(Global(full_name))

    def _reduce(self, _) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        self._build_object(function, arguments)

    _newobj = _reduce

    def _newobj_ex(self, _) -> None:
        options = self.stack.pop()
        if options:
            raise ValueError("named arguments")
        self._reduce(None)

    def _inst(self, argument: str) -> None:
        items = self._pop_mark()
        self._global(argument)
        self._build_object(self.stack.pop(), tuple(items))

    def _obj(self, _) -> None:
        function, *items = self._pop_mark()
        self._build_object(function, tuple(items))

    def _build_object(self, function: Any, arguments: Any) -> None:
        if not isinstance(function, Global) or not isinstance(arguments, tuple):
            raise ValueError("a call of something that is no function")
        builder = self._builders[function.name]
        if builder is None:
            raise RefusedError(f"a call of {function.name}")
        self._copied += sum(len(item) for item in arguments if isinstance(item, (list, tuple, dict)))
        if self._copied > _MOST_COPIED:
            raise ValueError(f"calls with more than {_MOST_COPIED} items in all")
        self.stack.append(builder(*arguments))

    def _build(self, _) -> None:
        self.stack.pop()  # attributes of an object: none that we keep has any
        if not isinstance(self.stack[-1], (dict, StandIn)):
            raise ValueError("attributes for something that is no object")

    def _persid(self, argument: str) -> None:
        self.stack.append(self._find_persistent(argument))

    def _binpersid(self, _) -> None:
        self.stack.append(self._find_persistent(self.stack.pop()))
