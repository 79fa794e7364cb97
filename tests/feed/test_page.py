"""The pages in a real browser: live, readable on a phone and in the dark, by keyboard, with nothing from elsewhere."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright

from services.bootstrap import App, open_app
from services.web import serve_http
from tests.parts import CHROMIUM_FLAGS
from tests.spine.conftest import Organisation, organisation

__all__ = ["organisation"]
pytestmark = pytest.mark.browser


@asynccontextmanager
async def served(organisation: Organisation, chromium: str) -> AsyncIterator[tuple[App, str, Browser]]:
    async with open_app(organisation.settings(), time=organisation.time) as app:
        await app.sync()
        await app.apply()
        async with serve_http(app, frozenset({"feed"}), "127.0.0.1", 0) as url, async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM_FLAGS))
            yield app, url, browser
            await browser.close()


async def opened(browser: Browser, url: str, said: list[str], **how: Any) -> Page:
    page = await (await browser.new_context(**how)).new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url) if not request.url.startswith(url) else None)
    return page


async def test_every_page_is_clean_accessible_and_fits(organisation: Organisation, chromium: str) -> None:
    """Light and dark, desk and phone: no console message, no foreign request, no axe violation, no sideways scroll."""
    said: list[str] = []
    async with served(organisation, chromium) as (_, url, browser):
        for scheme, width in (("light", 1280), ("dark", 390)):
            page = await opened(browser, url, said, color_scheme=scheme, viewport={"width": width, "height": 800})
            for path in ("/", "/nodes/INI-2", "/nodes/OBJ-1", "/sources", "/nowhere"):
                await page.goto(url + path)
                assert await page.evaluate("document.documentElement.scrollWidth") <= width, path
                found = await Axe().run(page)
                assert found.violations_count == 0, (path, scheme, found.generate_report())
    assert [line for line in said if "404" not in line] == []


async def test_the_page_follows_the_work(organisation: Organisation, chromium: str) -> None:
    """A day of work in the trackers changes the page without a reload, and the focus stays where it was."""
    async with served(organisation, chromium) as (app, url, browser):
        page = await opened(browser, url, [])
        await page.goto(url)
        before = await page.locator("[data-part=tree]").inner_text()
        await page.focus("#OBJ-1")
        organisation.world.advance(organisation.world.now + timedelta(days=3))
        await app.sync()
        async with asyncio.timeout(20):
            while await page.locator("[data-part=tree]").inner_text() == before:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert await page.evaluate("document.activeElement.id") == "OBJ-1"


async def test_the_keyboard_reaches_a_node(organisation: Organisation, chromium: str) -> None:
    """Skip link, tree, node page: without a mouse."""
    async with served(organisation, chromium) as (_, url, browser):
        page = await opened(browser, url, [])
        await page.goto(url)
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.className") == "skip"
        while await page.evaluate("document.activeElement.id") != "OBJ-1":
            await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/nodes/OBJ-1")
        assert await page.locator("svg.chart").count() == 1


async def test_hostile_titles_are_only_text(organisation: Organisation, chromium: str) -> None:
    """A title from a tracker that tries to run is shown as it is written."""
    said: list[str] = []
    for item in list(organisation.world.items.values())[:200]:
        organisation.world.edit(item, author=1, title="<script>alert(1)</script><img src=x onerror=alert(2)>")
    async with served(organisation, chromium) as (_, url, browser):
        page = await opened(browser, url, said)
        await page.goto(url + "/nodes/INI-2")
        assert "<script>alert(1)</script>" in await page.locator("[data-part=items]").inner_text()
        assert await page.locator("[data-part=items] script, [data-part=items] img").count() == 0
    assert said == []
