"""A headless Chromium that a test clicks through: by labels and texts, as a reader does."""

import shutil
import tempfile

from selenium import webdriver
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
)
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

from eventually import eventually

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--window-size=1280,1000",
)
NOT_YET = (
    NoSuchElementException,
    StaleElementReferenceException,
    ElementClickInterceptedException,
    ElementNotInteractableException,
)


class Browser:
    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix="pgforce-chromium-", dir="/tmp")
        options = Options()
        options.binary_location = "/usr/bin/chromium"
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        for flag in (*FLAGS, f"--user-data-dir={self.profile}"):
            options.add_argument(flag)
        self.driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)

    def end(self):
        self.driver.quit()
        shutil.rmtree(self.profile, ignore_errors=True)

    def open(self, url):
        self.driver.get(url)

    def place(self, fragment):
        """Goes to a view of the page that is open."""
        self.driver.execute_script("location.hash = arguments[0]", fragment)

    def wait(self, check):
        """Waits until check answers something true; what is not there yet, or no longer, is asked again."""

        def once():
            try:
                return check()
            except NOT_YET as error:
                raise AssertionError(str(error)) from error

        return eventually(once)

    def find(self, css):
        return self.wait(lambda: self.driver.find_element(By.CSS_SELECTOR, css))

    def all(self, css):
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def text(self, css="main"):
        return self.driver.find_element(By.CSS_SELECTOR, css).text

    def shows(self, text, css="main"):
        return self.wait(lambda: text in self.text(css))

    def shows_not(self, text, css="main"):
        return self.wait(lambda: text not in self.text(css))

    def _bring(self, element):
        """As a reader scrolls: what the bar of a form covers is brought forth."""
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)

    def click(self, css):
        def press():
            element = self.driver.find_element(By.CSS_SELECTOR, css)
            self._bring(element)
            element.click()
            return True

        self.wait(press)

    def hold(self, element):
        """Presses the mouse's button on it; release() lets it go."""
        self._bring(element)
        ActionChains(self.driver).click_and_hold(element).perform()

    def release(self):
        ActionChains(self.driver).release().perform()

    def press(self, label, within="body"):
        """Clicks the button or link that says just that."""
        path = f".//button[normalize-space()='{label}'] | .//a[normalize-space()='{label}']"

        def click():
            element = self.driver.find_element(By.CSS_SELECTOR, within).find_element(By.XPATH, path)
            self._bring(element)
            element.click()
            return True

        self.wait(click)

    def answer(self, label):
        """Answers the open dialog, and waits until it has gone."""
        self.press(label, within="dialog[open]")
        self.wait(lambda: not self.all("dialog[open]"))

    def type(self, css, text):
        def write():
            element = self.driver.find_element(By.CSS_SELECTOR, css)
            element.clear()
            element.send_keys(text)
            return True

        self.wait(write)

    def choose(self, css, value):
        self.click(f"{css} option[value='{value}']")

    def is_checked(self, css):
        return self.find(css).is_selected()

    def box(self, css):
        """Whether it is checked, and whether it can be changed."""

        def look():
            element = self.driver.find_element(By.CSS_SELECTOR, css)
            return element.is_selected(), element.is_enabled()

        return self.wait(look)

    def appearance(self, scheme, width):
        """Light or dark, and how wide."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def is_too_wide(self):
        """Whether the page itself has to be moved sideways."""
        return self.driver.execute_script(
            "return document.documentElement.scrollWidth > document.documentElement.clientWidth"
        )

    def problems(self):
        """What the console complained of: errors of scripts, and of the content security policy. That a
        call was refused is the test's own business."""
        entries = self.driver.get_log("browser")
        return [e["message"] for e in entries if e["level"] == "SEVERE" and "status of" not in e["message"]]
