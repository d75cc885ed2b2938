"""Stands in for the sensor on a computer: ten minutes are a day, with a warm afternoon and damp nights.

Make a file named ``unplugged`` in this folder, and the sensor fails as long as it is there.

"""
import math
import os
import random
import time

FOLDER = ''.join(__file__.replace('\\', '/').rpartition('/')[:2])  # where this file is
DAY = 600  # seconds

print('There is no sensor here: it is emulated.')


def noise():
    return random.random() - 0.5


class Sensor:
    def read(self):
        """Return degrees Celsius and percent of relative humidity."""
        if 'unplugged' in os.listdir(FOLDER or '.'):
            raise OSError('the sensor does not answer')
        sun = math.sin(2 * math.pi * (time.time() % DAY) / DAY)
        return round(18 + 6 * sun + noise(), 1), round(60 - 18 * sun + 2 * noise(), 1)
