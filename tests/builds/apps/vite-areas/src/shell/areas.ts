import { lazy, type ComponentType } from 'react'

const pages = import.meta.glob<{ default: ComponentType }>('../areas/*/Page.tsx')

export const areas = Object.entries(pages).map(([path, load]) => ({ name: path.split('/')[2], Page: lazy(load) }))
