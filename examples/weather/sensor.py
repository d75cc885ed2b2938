"""A DHT22 (AM2302), which measures temperature and humidity. MicroPython has the driver for it.

For another sensor, give its class the same two methods, and nothing else has to change.

"""
import dht
from machine import Pin

PIN = 4  # where its data line is


class Sensor:
    def __init__(self):
        self.driver = dht.DHT22(Pin(PIN))

    def read(self):
        """Return degrees Celsius and percent of relative humidity. Any exception says that this did not work."""
        self.driver.measure()
        return self.driver.temperature(), self.driver.humidity()
