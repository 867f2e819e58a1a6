"""The page at the admin address, in a real browser: it follows live, obeys its policy, and can be read."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

import mizzen
from mizzen.server.address import Address
from mizzen.server.admin import AdminServer
from mizzen.server.admin_hosts import Hosts
from mizzen.testing.live_mesh import LiveMesh
from tests.forked_mizzen import launch
from tests.unit.explain.test_mesh_graph import MESH
from tests.unit.server.shown_mesh import ShownMesh

_CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.skipif(_CHROMIUM is None, reason="needs the program chromium"),
    pytest.mark.asyncio(loop_scope="module"),
]

_DEADLINE = 30_000
_CONTRAST = """
() => {
  const luminance = (color) => {
    const parts = color.match(/[0-9.]+/g).slice(0, 3).map((each) => {
      const part = each / 255;
      return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const field = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const color = getComputedStyle(each).backgroundColor;
      if (color !== "rgba(0, 0, 0, 0)") return color;
    }
    return "rgb(255, 255, 255)";
  };
  return [...document.querySelectorAll("p, a, td, th, li, code, dt, dd, summary, h1, h2")]
    .filter((each) => each.closest("svg") === null && each.innerText.trim() !== "" && !each.matches(".skip"))
    .map((each) => {
      const [light, dark] = [luminance(getComputedStyle(each).color), luminance(field(each))]
        .sort((a, b) => b - a);
      return { text: each.innerText.slice(0, 40), contrast: (light + 0.05) / (dark + 0.05) };
    })
    .filter((each) => each.contrast < 4.5);
}
"""


_TORN = """
() => [...document.querySelectorAll("td:first-child a, td time")]
    .filter((each) => each.getClientRects().length > 3)
    .map((each) => each.innerText)
"""
"""Names and moments that a narrow column breaks into more than three pieces."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        # Chromium's own sandbox does not run as root, and here it reads pages of ours alone.
        browser = await playwright.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def browser(chromium: Browser) -> AsyncIterator[Browser]:
    """A browser that forgets at the end of each test."""
    yield chromium
    for context in chromium.contexts:
        await context.close()


async def opened(
    browser: Browser, url: str, width: int = 1200, scheme: str = "light", *, script: bool = True
) -> tuple[Page, list[str]]:
    """Open a page; return it with what the browser complains of, violations of the policy among it."""
    context = await browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
        java_script_enabled=script,
    )
    page = await context.new_page()
    page.set_default_timeout(_DEADLINE)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(url)
    return page, complaints


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def large(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of a server that shows 1,000 services and 1,000 proxies."""
    service = (
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: s{0}}}\n"
        "spec: {{ports: [{{name: http, port: 80}}]}}\n"
    )
    text = MESH + "".join(map(service.format, range(1000)))
    folder = tmp_path_factory.mktemp("large")
    (folder / "mesh.yaml").write_text(text, encoding="utf-8")
    shown = ShownMesh(mizzen.load(folder), 1000)
    since = "2030-01-01T00:00:00+00:00"
    shown.faults = [{"what": "watching the files failed", "times": 2, "since": since, "seconds_ago": 75.0}]
    listening = socket.create_server(("127.0.0.1", 0))
    address = Address("127.0.0.1", listening.getsockname()[1])
    server = AdminServer(shown, listening, Hosts(address))
    serving = asyncio.create_task(server.run())
    yield f"http://{address}"
    server.stop()
    await serving


@pytest.mark.envoy
async def test_it_follows_live(browser: Browser, tmp_path: Path) -> None:
    async with LiveMesh(tmp_path, launch=launch) as mesh:
        page, complaints = await opened(browser, f"http://{mesh.admin}/")
        await page.get_by_text("live", exact=True).wait_for()
        await page.get_by_text("The mesh is empty.").wait_for()

        mesh.write("mesh.yaml", MESH)
        await page.locator("svg .version", has_text="v1").wait_for()
        await page.locator("svg .edge text", has_text="90%").wait_for()

        mesh.write("mesh.yaml", MESH.replace("weight: 90", "weight: 70").replace("weight: 10", "weight: 30"))
        await page.locator("svg .edge text", has_text="70%").wait_for()
        await page.get_by_role("heading", name="Recent changes").wait_for()
        await page.locator("td", has_text="VirtualService/default/shop").first.wait_for()

        mesh.write("mesh.yaml", MESH.replace("weight: 90", "weight: ninety"))
        await page.get_by_role("heading", name="Refused documents").wait_for()
        await page.locator(".fault .place", has_text="mesh.yaml:").first.wait_for()

        await mesh.client()
        await page.goto(f"http://{mesh.admin}/proxies")
        await page.get_by_role("link", name="client.default").click()
        await page.get_by_role("heading", name="What it was sent").wait_for()
        await page.get_by_role("link", name="clusters").click()
        await page.locator("td", has_text="PassthroughCluster").wait_for()
        assert not complaints


async def test_a_thousand_of_each_stay_usable(browser: Browser, large: str) -> None:
    page, complaints = await opened(browser, large)
    await page.get_by_text("gateways and hosts are drawn").wait_for()
    assert await page.locator("svg .node").count() < 60
    await page.get_by_label("Show hosts with").fill("s77")
    await page.keyboard.press("Enter")
    await page.locator("svg .service", has_text="s777").wait_for()

    await page.get_by_role("link", name="Services", exact=True).click()
    assert await page.locator("tbody tr").count() == 50
    await page.get_by_role("link", name="next").click()
    await page.get_by_text("page 2 of").wait_for()

    await page.get_by_role("link", name="Proxies", exact=True).click()
    await page.get_by_label("Show proxies with").fill("app-999.")
    await page.keyboard.press("Enter")
    await page.get_by_role("link", name="app-999.default").click()
    await page.get_by_role("heading", name="app-999.default").wait_for()
    assert not complaints


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1600])
async def test_it_reads_well(browser: Browser, large: str, width: int, scheme: str) -> None:
    host = "shop.default.svc.cluster.local"
    page, complaints = await opened(browser, large, width, scheme)
    for path in (
        "/",
        "/services",
        "/proxies",
        "/changes",
        "/why?tcp=shop:80&from=shop-1&tls=1",
        f"/services/default/{host}",
        "/proxies/app-1.default",
    ):
        await page.goto(f"{large}{path}")
        assert await page.evaluate(_TORN) == [], path
        assert await page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert await page.evaluate(_CONTRAST) == [], path
        assert not complaints, path


async def test_faults_of_mizzen_are_one_click_away(browser: Browser, large: str) -> None:
    page, complaints = await opened(browser, f"{large}/proxies")
    await page.get_by_role("link", name="2 faults of Mizzen").click()
    await page.get_by_text("watching the files failed: 2 times since").wait_for()
    assert await page.get_by_role("heading", name="Mizzen failed").is_visible()
    assert not complaints


async def test_a_keyboard_is_enough(browser: Browser, large: str) -> None:
    page, _ = await opened(browser, large)
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.innerText") == "Skip to the content"
    reached = set()
    for _ in range(30):
        await page.keyboard.press("Tab")
        name = "document.activeElement.getAttribute('href') || document.activeElement.tagName"
        reached.add(await page.evaluate(name))
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        assert await page.evaluate(outline) != "none", reached
    assert {"/services", "/proxies", "/changes", "INPUT", "BUTTON", "DIV"} <= reached
    assert any(each.startswith("/services/") for each in reached), "hosts of the picture"


async def test_without_javascript_all_is_there(browser: Browser, large: str) -> None:
    page, _ = await opened(browser, f"{large}/why", script=False)
    await page.get_by_label("URL", exact=True).fill("http://shop/")
    await page.get_by_label("From the workload").fill("shop-1")
    await page.keyboard.press("Enter")
    await page.locator("pre", has_text="GET http://shop/ from shop-1.default").wait_for()

    page, _ = await opened(browser, f"{large}/proxies/app-7.default", script=False)
    await page.get_by_role("link", name="listeners").click()
    assert await page.locator("td", has_text="<b>listeners").count() == 50
    await page.get_by_role("link", name="next").click()
    assert await page.locator("td", has_text="<b>listeners").count() == 10
