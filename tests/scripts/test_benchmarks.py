"""Every benchmark still runs, on as little as it takes; whether its figures are good is not tested."""

import json
import subprocess
import sys

import pytest

from conftest import ROOT

SMALLEST = {
    "allreduce": ["--networks", "resnext11_8x16d", "--rounds", 1],
    "infer_app": ["--backbone", "resnext11_8x16d", "--images", 21, "--rounds", 1, "--precision", "f32,int8"],
    "kills": ["--kills", 1, "--epochs", 1],
    "memory": ["--cases", "resnext11_8x16d:4", "--image_size", 32],
