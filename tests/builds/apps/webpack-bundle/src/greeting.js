export const greeting = 'hello from webpack'
