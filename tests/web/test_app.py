"""What holds for all functions of the app."""

from inspect import iscoroutinefunction

from app import create_app
from image_embeddings.config import load_settings


def test_no_function_is_asynchronous():
    app = create_app(load_settings({}))
    hooks = (app.before_request_funcs, app.after_request_funcs, app.teardown_request_funcs)
    functions = [*app.view_functions.values(), *(each for hook in hooks for found in hook.values() for each in found)]
    functions += [
        each for codes in app.error_handler_spec.values() for kinds in codes.values() for each in kinds.values()
    ]
    assert len(functions) > 30
    assert not any(map(iscoroutinefunction, functions))
