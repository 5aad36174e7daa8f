"""Tests of ``report.html`` in headless Chromium.

Authors
 * The miipher2 authors 2026
"""

import pytest
from example_scores import example

from miipher2.evaluation.html_report import write_html

FILES = 24  # the 20 worst files, 3 random files and a file that failed
SECONDS = 2.0
TIMEOUT = 60  # seconds; machines that run tests may be busy

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Return the path of a page with synthetic recordings and scores."""
    files_csv = example(tmp_path_factory.mktemp("set"), FILES, seconds=SECONDS)
    write_html(files_csv.parent)
    return files_csv.with_name("report.html")


@pytest.fixture
def open_page(browser, report):
    """Yield a function that opens the page.

    The test fails if the page raises an error, logs a message or uses the
    network.
    """
    problems, contexts = [], []

    def open_(width=1200, scheme="light"):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT * 1000)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(report.as_uri())
        return page

    requests = []
    yield open_
    for context in contexts:
        context.close()
    assert problems == []
    assert [u for u in requests if not u.startswith(("data:", "file:"))] == []


def names(page):
    """Return the file names in the table of files, in the order shown."""
    return page.locator("#table tbody th").all_inner_texts()


def column(page, heading):
    """Return the numbers in a column of the table of files."""
    index = page.locator("#table thead th").all_inner_texts().index(heading)
    cells = page.locator(f"#table tbody tr > :nth-child({index + 1})")
    return [float(text.replace("−", "-")) for text in cells.all_inner_texts()]


def test_all_sections_are_drawn(open_page):
    page = open_page()
    assert page.locator("#questions .card").count() == 3
    assert page.locator("#conditions tbody tr").count() == 3
    assert page.locator("#means tbody tr").count() == 20
    assert page.locator("#histograms svg").count() == 13
    assert page.locator("#plot circle").count() == FILES - 1
    assert page.locator("#noted table").count() == 2
    page.locator("#means select").last.select_option("median")
    page.locator("#plot select").first.select_option("change in PER %")
    assert "PER" in page.locator("#plot svg").get_attribute("aria-label")


def test_players_load_recordings_and_spectrograms(open_page):
    page = open_page()
    durations = page.evaluate(
        """async () => {
          const players = [...document.querySelectorAll("audio")];
          for (const audio of players) {
            audio.scrollIntoView({ behavior: "instant" });
            while (!(audio.duration > 0))
              await new Promise((done) => setTimeout(done, 20));
          }
          return players.map((audio) => audio.duration);
        }"""
    )
    assert len(durations) == 3 * (FILES - 1)
    assert all(abs(duration - SECONDS) < 1e-3 for duration in durations)
    loaded = "image => image.complete && image.naturalWidth === 400"
    for image in page.locator(".spectrogram img").all()[:3]:
        image.scroll_into_view_if_needed()
        assert image.evaluate(loaded)


def test_starting_another_side_pauses_the_first_and_keeps_the_position(
    open_page,
):
    page = open_page()
    paused, position = page.evaluate(
        """async () => {
          const [first, second] = document.querySelectorAll("audio");
          first.scrollIntoView({ behavior: "instant" });
          while (!(first.duration > 0 && second.duration > 0))
            await new Promise((done) => setTimeout(done, 20));
          first.muted = second.muted = true;
          first.playbackRate = second.playbackRate = 0.1;
          first.currentTime = 0.5;
          await first.play();
          await second.play();
          return [first.paused, second.currentTime];
        }"""
    )
    assert paused
    assert 0.5 <= position < SECONDS


def test_the_table_can_be_sorted_and_searched(open_page):
    page = open_page()
    ranked = names(page)
    assert column(page, "Rank") == list(range(1, FILES))
    page.locator("#table thead button", has_text="CER %").click()
    rising = column(page, "CER %")
    assert rising == sorted(rising)
    page.locator("#table thead button", has_text="CER %").click()
    assert column(page, "CER %") == sorted(rising, reverse=True)
    order = page.locator("#table thead th[aria-sort]")
    assert order.get_attribute("aria-sort") == "descending"
    page.locator("#table thead button", has_text="Rank").click()
    assert names(page) == ranked
    page.locator("#table input").fill("noise/1")
    assert 0 < len(names(page)) < len(ranked)
    page.locator("#table input").fill("")
    page.locator("#table select").first.select_option("Change")
    changes = page.locator("#table tbody td").all_inner_texts()
    assert any(text.startswith("+") for text in changes)
    page.locator("#table tbody a").first.click()
    assert page.url.endswith("#player-0")


@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_its_window_and_follows_the_colour_scheme(
    open_page, scheme, width
):
    page = open_page(width, scheme)
    content_width = page.evaluate("document.documentElement.scrollWidth")
    assert content_width <= width
    channels = page.evaluate(
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g)"
    )
    assert (sum(map(int, channels)) > 3 * 128) == (scheme == "light")
