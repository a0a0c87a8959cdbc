"""The arrows of the study: every command of the same name is one function here."""

from db.moved import install
from farm.moved import MOVED

install(MOVED)
