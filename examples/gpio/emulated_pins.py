"""Stands in for MicroPython's module machine on a computer.

Outputs tell what they do. Inputs change by themselves, as if somebody pressed a button for a second now and then.

"""
import time

print('There are no pins here: they are emulated.')


class Pin:
    IN, OUT, PULL_UP, PULL_DOWN = range(4)

    def __init__(self, number, mode=IN, pull=None, value=0):
        self.number = number
        self.mode = mode
        self.rest = 1 if pull == Pin.PULL_UP else 0  # the level while nothing is pressed
        self.level = value

    def value(self, *values):
        if values:
            self.level = 1 if values[0] else 0
            print('pin %d is %s' % (self.number, 'high' if self.level else 'low'))
        elif self.mode == Pin.IN:
            is_pressed = int(time.time()) % (3 + self.number % 4) == 0
            return 1 - self.rest if is_pressed else self.rest
        return self.level


class Signal:
    def __init__(self, pin, invert=False):
        self.pin = pin
        self.invert = invert

    def value(self, *values):
        if values:
            return self.pin.value(bool(values[0]) != self.invert)
        return int(bool(self.pin.value()) != self.invert)
