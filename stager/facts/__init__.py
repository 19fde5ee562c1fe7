"""What is known without asking anybody: what a stack offers, and which stacks a platform takes."""
