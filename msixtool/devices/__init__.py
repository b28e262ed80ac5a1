"""The devices in a stream's sections: places.py says where they stand, locate.py reads those with MSI-X.

config_space.py, virtio.py and virtio_layout.py are what is in them; cpus.py, interrupt_route.py and rings.py
follow an interrupt from there to a CPU.
"""
