"""The golden tests' runner (run) as a module: its scratch server and its readings serve other programs too."""
import importlib.machinery
import importlib.util
import pathlib
import sys


def load():
    loader = importlib.machinery.SourceFileLoader("golden_run", str(pathlib.Path(__file__).with_name("run")))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("golden_run", loader))
    sys.dont_write_bytecode = True
    loader.exec_module(module)
    return module
