import ms from "ms";

document.querySelector("h1").textContent = `open for ${ms(8 * 60 * 60 * 1000, { long: true })}`;
