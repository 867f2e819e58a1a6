"""What one proxy is sent, as short tables like those of `istioctl proxy-config`. No IO, no clock."""
