export const greeting = (name: string): string => `hello from ${name}`;
