export default function left(text, width) {
  return text.padStart(width);
}
