"""What telekit hands out to a commune's machines: addresses, keys, certificates, first passwords."""

from toolkit.enrolment.asked import FILE, SHOW_ARRIVED, SHOW_KEY, SHOW_MOVED, SHOW_PUBLIC
from toolkit.enrolment.enrolment import Enrolment

__all__ = ["FILE", "SHOW_ARRIVED", "SHOW_KEY", "SHOW_MOVED", "SHOW_PUBLIC", "Enrolment"]
