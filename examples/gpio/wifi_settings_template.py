"""Your Wi-Fi. Copy this file to wifi_settings.py, which stays out of version control, and fill in the copy."""

NAME = 'name of the network'
PASSWORD = 'password of the network'
HOSTNAME = 'greenhouse'  # many networks then know the board as greenhouse.local
