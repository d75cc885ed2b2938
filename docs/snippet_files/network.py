"""Stands in for MicroPython's module while the test suite runs the snippets of the documentation."""
STA_IF = 0


def hostname(name):
    pass


class WLAN:
    IF_STA = 0
    PM_NONE = 0

    def __init__(self, interface):
        self.interface = interface

    def active(self, is_active):
        pass

    def config(self, **settings):
        pass

    def connect(self, ssid, key):
        pass

    def disconnect(self):
        pass

    def isconnected(self):
        return True

    def ifconfig(self):
        return '192.0.2.7', '255.255.255.0', '192.0.2.1', '192.0.2.1'
