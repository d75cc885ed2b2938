"""The latest values of something that is measured, in memory that never grows."""
from array import array

GAP = -32768  # in place of a measurement that failed
PIECE = 200  # characters


class History:
    """A ring buffer of tenths, with two bytes for each. It takes values from -3276 to 3276."""

    def __init__(self, size):
        self.tenths = array('h', [GAP] * size)
        self.count = 0  # of all that was ever measured
        self.last = None  # the last value that there was, however old

    def append(self, value):
        """Add a value, or ``None`` for a measurement that failed. If there is no more room, the oldest one goes."""
        self.tenths[self.count % len(self.tenths)] = GAP if value is None else round(value * 10)
        self.count += 1
        if value is not None:
            self.last = value

    def __iter__(self):
        """Yield the values, the oldest first."""
        size = len(self.tenths)
        for i in range(max(0, self.count - size), self.count):
            tenths = self.tenths[i % size]
            yield None if tenths == GAP else tenths / 10

    def render(self):
        """Yield the values as a list in JSON, in pieces: a board would need much memory for it as a whole."""
        text = '['
        separator = ''
        for value in self:
            text += separator + ('null' if value is None else '%.1f' % value)
            separator = ', '
            if len(text) > PIECE:
                yield text
                text = ''
        yield text + ']'
