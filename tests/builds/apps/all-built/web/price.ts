/** What a thing costs with tax, in cents. */
export const price = (net: number): number => Math.round(net * 1.2);
