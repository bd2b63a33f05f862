"""Allocation of a byte budget: how many levels each weight of a network gets."""
