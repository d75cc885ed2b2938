"""The commands of docs/hosts.md, on a port that is free."""
import pytest
from test_docs import DOCS, find_snippets
from test_examples import HostedExample


def find_tested(language):
    """Yield the kinds of the page's blocks below the comments ``% tested: kind``, and the blocks."""
    for snippet in find_snippets((DOCS / 'hosts.md').read_text()):
        if snippet.language == language and snippet.comment.startswith('tested: '):
            yield snippet.comment.removeprefix('tested: '), snippet.code


COMMANDS = list(find_tested('sh'))


def test_there_are_commands():
    assert {kind for kind, _ in COMMANDS} == {'asgi', 'wsgi'} and len(COMMANDS) > 8


@pytest.mark.parametrize(('interface', 'command'), COMMANDS, ids=lambda value: value.partition(' ')[0])
def test_command(tmp_path, interface, command):
    (tmp_path / 'main.py').write_text(dict(find_tested('python'))[interface])
    # workers of Granian and uWSGI that are told to end while they start wait to be killed
    process = HostedExample(command.replace('\\\n', '').replace(' 30', ' 5'), tmp_path)
    try:
        for _ in range(20):
            assert process.get('/') == 'The greenhouse is at 21 degrees.'
        assert 'Traceback' not in process.stop()[1]
    finally:
        process.kill()
        process.process.communicate()
