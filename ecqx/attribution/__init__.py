"""The explanation engine that compression and evaluation share: LRP, its rules, feature maps."""
