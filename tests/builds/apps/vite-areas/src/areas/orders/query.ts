import { useQuery } from '@tanstack/react-query'
import type { Entry } from './types'

const load = async (): Promise<Entry[]> => (await import('./entries')).entries

export const useEntries = () => useQuery({ queryKey: ['orders'], queryFn: load })
