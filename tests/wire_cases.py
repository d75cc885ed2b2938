"""The wire, case by case: what arrives, and what must come out, whichever server it is.

A row is ``(name, request bytes, outcome)``. The rows follow from the contract and from RFC 9110 (semantics) and
RFC 9112 (HTTP/1.1), whose sections are given, not from what the code does. They are for the application of
tests/wire_app.py under ``LIMITS``; tests/test_wire.py runs each of them in many ways.

The rows are in one module for each group, because the heap of a board holds only one group at a time.

"""
import gc
import sys

GROUPS = ('targets', 'fields', 'lengths', 'chunks', 'connections', 'responses')


def load_cases(group):
    """Return every case of a group in which nothing is to be logged."""
    return load(group).CASES


def load_failing_cases():
    """Return the cases in which the application fails, so that its exception is logged."""
    return load('responses').FAILING_CASES


def load(group):
    """Import the module of a group. On MicroPython it is gone as soon as its rows are not used any more."""
    gc.collect()
    name = 'wire_cases_' + group
    module = __import__(name)
    if sys.implementation.name == 'micropython':
        del sys.modules[name]
    return module
