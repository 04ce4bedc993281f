import pytest

from src.errors import UserError
from src.offline.result_names import result_names


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["a.jpg", "x/b.JPEG", "x/y/c.png"], ["a", "b", "c"]),  # unique: the stem, at whatever depth
        (["x/a.jpg", "y/a.jpg", "y/b.jpg"], ["x__a", "y__a", "b"]),
        (["a.jpg", "y/z/a.png"], ["a", "y__z__a"]),  # the ending does not make a stem unique
        (["x/a.v1.jpg", "y/a.v1.jpg", "a.v2.jpg"], ["x__a.v1", "y__a.v1", "a.v2"]),
        (["x/A.jpg", "y/a.jpg"], ["A", "a"]),
        (["x/a.jpg", "x/a.png", "y/a.jpg"], ["x__a.jpg", "x__a.png", "y__a"]),
    ],
)
def test_a_name_is_the_stem_and_where_that_is_not_unique_the_path(files, names):
    assert result_names(files) == names


def test_names_that_collide_all_the_same_are_refused():
    files = ["x__a.jpg", "x/a.jpg", "y/a.jpg"]
    with pytest.raises(UserError) as error:
        result_names(files)
    assert files[0] in str(error.value) and files[1] in str(error.value) and "x__a.bin" in str(error.value)
