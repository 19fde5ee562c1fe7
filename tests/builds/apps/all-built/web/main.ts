import { price } from "./price";

const total: number = [1, 20, 300].map(price).reduce((one, other) => one + other);
document.querySelector("h1")!.textContent = `all of it costs ${total} cents`;
