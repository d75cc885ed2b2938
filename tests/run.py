"""Run the tests on MicroPython (or CPython): ``micropython -X heapsize=4M tests/run.py [file...]``.

Every function ``test_*`` of every ``tests/test_*.py`` is run, plain or async, each async one with a new event loop.
Tests that need CPython live in ``tests/cpython`` and are pytest's alone. ``--list`` prints the names of the tests, and
runs none; ``--names`` prints the names of those that pass. tests/run_small.py uses both, to run them in small heaps.

"""
import asyncio
import gc
import os
import sys

TIME_LIMIT = 60  # seconds, for each async test
ON_MICROPYTHON = sys.implementation.name == 'micropython'
HERE = __file__.rsplit('/', 1)[0] if '/' in __file__ else '.'


def print_exception(exc):
    if hasattr(sys, 'print_exception'):  # MicroPython
        sys.print_exception(exc)
    else:
        import traceback
        traceback.print_exception(exc, file=sys.stdout)


def drop_tasks():
    """Forget what a test left in the event loop. CPython's ``asyncio.run`` has cancelled it already."""
    if ON_MICROPYTHON:
        asyncio.new_event_loop()  # clears the only one that there is
    gc.collect()


def passes(name, function, *args):
    """Call a function, and run what it returns if that is a coroutine. Report an error of any kind."""
    try:
        result = function(*args)
        if hasattr(result, 'send'):
            asyncio.run(asyncio.wait_for(result, TIME_LIMIT))
        return True
    except KeyboardInterrupt:
        raise
    except BaseException as exc:  # a CancelledError or SystemExit is a failure too
        print('FAIL', name)
        print_exception(exc)
        return False
    finally:
        drop_tasks()


def tests_in(module):
    # sorted, since MicroPython does not remember the order of definition
    return [(name, getattr(module, name)) for name in sorted(dir(module)) if name.startswith('test_')]


def import_module(name):
    __import__(name)


def run_file(path, option):
    """Import a file of tests and run them, return the numbers of those that passed and failed."""
    module_name = path.rsplit('/', 1)[-1].rsplit('.', 1)[0]
    if not passes(module_name, import_module, module_name):
        return 0, 1
    kept = [function for table in decorated() for function in table]
    passed = failed = 0
    for name, function in tests_in(sys.modules[module_name]):
        if option == '--list' or passes(module_name + '.' + name, function):
            passed += 1
            if option:
                print('TEST', module_name + '.' + name)
        else:
            failed += 1
        forget_decorated(kept)
    print(module_name + ':', passed, 'listed,' if option == '--list' else 'passed,', failed, 'failed')
    forget_decorated(())
    del sys.modules[module_name]  # make room for the next
    return passed, failed


def decorated():
    """Return the tables of decorated functions, which MicroPython keeps for ever, for it has no weak references."""
    helpers = sys.modules.get('microdot.helpers')
    return [helpers.decorations, helpers.inner_functions] if helpers and ON_MICROPYTHON else []


def forget_decorated(kept):
    """Forget the functions that a test has decorated, and their applications with them."""
    for table in decorated():
        for function in list(table):
            if function not in kept:
                del table[function]


def main(arguments):
    option = arguments[0] if arguments and arguments[0][:2] == '--' else ''
    paths = arguments[1:] if option else arguments
    sys.path[:0] = [HERE, HERE + '/../src', HERE + '/engines']
    if paths and '/' in paths[0]:  # a folder of its own
        sys.path.insert(0, paths[0].rsplit('/', 1)[0])
    paths = paths or sorted(name for name in os.listdir(HERE) if name.startswith('test_') and name.endswith('.py'))
    passed = failed = 0
    for path in paths:
        counts = run_file(path, option)
        passed += counts[0]
        failed += counts[1]
    if not passed + failed:
        print('no tests were found')
    print('%d passed, %d failed' % (passed, failed))
    return 1 if failed or not passed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
