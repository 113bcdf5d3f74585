"""The commands; only this package prints and exits. Exit status: 0 done, 1 failed, 2 wrong usage.

Each command or group of commands has a module. To add one, write its module and add it to the group below.
"""

import click

from image_embeddings.cli import (
    evaluate,
    export,
    import_,
    index,
    make_password,
    node,
    search,
    serve,
    status,
    text_model,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """Index photos and search them by text or image.

    Settings come from the environment and the file .env: see .env.example.
    """


main.add_command(index.index)
main.add_command(search.search)
main.add_command(status.status)
main.add_command(serve.serve)
main.add_command(make_password.make_password)
main.add_command(evaluate.evaluate)
main.add_command(export.export)
main.add_command(import_.import_)
main.add_command(text_model.text_model)
main.add_command(node.node)
