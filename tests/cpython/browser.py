"""Chromium, driven by selenium, for the tests of pages."""
import os
import shutil
import time

import pytest
from selenium import webdriver

INSTALL = 'apt-get install --no-install-recommends chromium chromium-driver'


def poll(condition, seconds=15):
    """Wait until something becomes true and return it."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, 'it never became true'
        time.sleep(0.05)
    return value


def find_program(name):
    path = shutil.which(name)
    if not path:
        pytest.fail('%s is missing. Install it, as root: %s' % (name, INSTALL), pytrace=False)
    return path


def start_chromium(profile, *arguments):
    """Return a driver of Chromium with nothing but a blank page, and with what the folder of its profile remembers."""
    options = webdriver.ChromeOptions()
    options.binary_location = find_program('chromium')
    for argument in ('--headless=new', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
                     '--disable-background-networking', '--disable-component-update', '--user-data-dir=%s' % profile,
                     *arguments):
        options.add_argument(argument)
    if os.geteuid() == 0:
        options.add_argument('--no-sandbox')  # it does not work for root
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
    # the path of the driver keeps selenium from looking for one in the internet
    return webdriver.Chrome(options, webdriver.ChromeService(find_program('chromedriver')))
