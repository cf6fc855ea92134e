"""The crawl as tasks: one task visits one page and queues a task for every link that is new.

Run a worker for it anywhere with ``fastworker -A tasks worker``; ``crawl.py`` does that for you.
"""

from __future__ import annotations

import time

import pages
import web

from fastworker import FastWorker

# No broker is named, so the queue is an SQLite file under .fastworker/ beside this module. For a
# worker on another machine, say broker="redis://host:6379/0"; nothing else changes.
app = FastWorker("crawl")


@app.task(ignore_result=True)
def visit(crawl_id: int, url: str) -> None:
    """Fetch one page, record it, and queue the links that nobody had seen before.

    A task may run twice: when a worker dies, its tasks are delivered again. So a page that is done
    is not fetched again, and links are queued from what is recorded rather than from what was just
    read: whatever a first run could not queue any more, the second one does.
    """
    crawl = pages.read(crawl_id)
    if crawl.is_stopped:
        return
    if pages.is_waiting(crawl, url):
        read_page(crawl, url)
    for link in pages.waiting_links(crawl, found_on=url):
        visit.delay(crawl_id, link)


def read_page(crawl: pages.Crawl, url: str) -> None:
    """Fetch and record one page. A page that cannot be fetched is a fact about the site."""
    try:
        page = web.fetch(url)
    except web.FetchError as error:
        pages.record_failed(crawl, url, str(error))
    except Exception as error:
        # A bug of ours is a failed task, and the page must not keep the crawl from ending.
        pages.record_failed(crawl, url, repr(error))
        raise
    else:
        pages.record_done(crawl, url, page.title, page.size_bytes, page.links)
    time.sleep(crawl.delay_s)
