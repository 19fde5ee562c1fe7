export const loader = () => ({ said: 'hello from react router' })

export default function Home({ loaderData }) {
  return <h1>{loaderData.said}</h1>
}
