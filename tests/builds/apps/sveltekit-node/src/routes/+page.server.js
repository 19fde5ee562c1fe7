export const load = () => ({ said: 'hello from sveltekit' })
